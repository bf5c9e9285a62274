//! Deltas, made: what two images are, what of the old one stands in the new one, and what is left to be said.
//!
//! | module | decides |
//! | --- | --- |
//! | [`detect`] | which bytes are code, and at which addresses they run |

pub mod detect;
