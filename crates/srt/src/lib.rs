//! SRT (Secure Reliable Transport): live video over networks that lose, jitter and fail.
