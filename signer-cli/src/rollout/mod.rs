//! Rollout plans as a maker writes them: a short TOML file, from a preset, looked over, and tried on a made-up fleet before
//! anybody signs it.
//!
//! Decides what a plan file means, never who gets a release: that is the plan's own `admit`.

pub mod file;
pub mod forecast;
pub mod lint;
pub mod plot;
pub mod presets;
pub mod tell;
