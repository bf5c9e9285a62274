//! Deltas: made from two images, and applied with the device's own code.
//!
//! | module | decides |
//! | --- | --- |
//! | [`source`], [`known`], [`partial`] | which bytes of large images are in memory |
//! | [`detect`] | what code an image holds, and at which addresses |
//! | [`packing`] | which compressed parts are taken apart |
//! | [`matching`] | which bytes of the new image stand in the old one |
//! | [`plan`] | which steps make the new image |
//! | [`in_place`] | what can be read while a slot is rewritten |
//! | [`encode`], [`coder`] | where frames end |
//! | [`stored`] | what is sent as it is |
//! | [`progress`] | how often it is told how far all that is |
//! | [`make`] | which of several ways is the smallest |
//! | [`flash`], [`slot_file`] | nothing: a slot in memory, or in a file, rewritten by the device's code |
//! | [`apply`] | nothing: the device's decoder over whole files |
//! | [`inspect`] | nothing: where the bytes of a delta went |
//!
//! Never decides what a frame holds: encoder and decoder are one, in `perennial_device_core::delta`.

pub mod apply;
pub mod coder;
pub mod detect;
pub mod encode;
pub mod flash;
pub mod in_place;
pub mod inspect;
pub mod known;
pub mod make;
pub mod matching;
pub mod packing;
pub mod partial;
pub mod plan;
pub mod progress;
pub mod slot_file;
pub mod source;
pub mod stored;
