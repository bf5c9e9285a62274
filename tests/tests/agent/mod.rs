//! The agent as its owner sees it: commands, exit statuses, files. The core's own tests stand beside it.

mod attacks;
mod beside;
mod commands;
mod deltas;
mod fleet;
pub(crate) mod kit;
mod network;
mod power;
mod rollout;
mod served;
mod state;
mod story;
mod support;
mod verify;
