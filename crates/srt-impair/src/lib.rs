//! Seeded network impairment: a pure model and a UDP link emulator.
