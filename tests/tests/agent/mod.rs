//! The agent as its owner sees it: commands, exit statuses, files. The core's own tests stand beside it.

mod kit;
mod story;
