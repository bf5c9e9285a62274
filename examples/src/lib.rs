//! The quickstart: the main job from beginning to end on one machine, told step by step.
#![forbid(unsafe_code)]

pub mod certificate;
pub mod images;
pub mod maker;
pub mod server;
pub mod stage;
pub mod story;
pub mod tools;
