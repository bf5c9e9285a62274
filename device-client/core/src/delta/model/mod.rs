//! What the coder expects: adaptive probabilities, mixed. Part of the format: a change here is another layout version.
//!
//! After the public descriptions of PAQ and lpaq (M. Mahoney, "Adaptive Weighing of Context Models for Lossless Data
//! Compression", 2005): logistic mixing of predictions by context, integers only, so that every machine decodes alike.

pub mod bytes;
pub mod cell;
pub mod mixer;
pub mod number;
