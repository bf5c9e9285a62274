//! The fleet plane over its sockets: devices with real certificates, against the whole server.

mod figures;
mod full;
mod gateway;
mod input;
mod kill;
mod kit;
mod limits;
mod moved;
mod others;
mod proxy;
mod restored;
mod rollouts;
mod story;
