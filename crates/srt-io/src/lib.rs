//! UDP with batches (GSO, GRO), the clock and precise waiting.
