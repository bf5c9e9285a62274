//! Deltas: the new image from the old one, a map of what moved, and corrections.
//!
//! | module | holds |
//! | --- | --- |
//! | [`space`] | addresses of old and new, and which recogniser reads which old bytes |
//! | [`refs`] | references in machine code and its tables, found in old bytes |
//!
//! Decides no bytes by itself: whatever is described wrongly costs bytes, never correctness and never memory.

pub mod refs;
pub mod space;
