//! The update server: what it answers, what it refuses, what survives a kill.

mod admin;
mod commands;
mod ingest;
mod kill;
mod kit;
mod plane;
mod process;
