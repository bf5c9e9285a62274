//! The update server: what it answers, what it refuses, what survives a kill.

mod admin;
mod alarms;
mod commands;
mod devices;
mod feeds;
mod fleet;
mod ingest;
mod kill;
mod kit;
mod plane;
mod process;
mod product;
mod promises;
mod records;
mod roots;
mod stores;
mod sweep;
