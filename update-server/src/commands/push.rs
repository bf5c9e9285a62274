//! `push`: sends a bundle to the admin listener of a server elsewhere.

use super::ingest::{open, print};
use crate::admin::client::{Server, call, get};
use crate::disk;
use crate::failure::Failure;
use crate::io::Io;
use hyper::Method;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The bundle, as `perennial-signer bundle` wrote it
    bundle: PathBuf,
    /// The server's admin listener: https://…, or http:// on this machine
    #[arg(long, value_name = "URL")]
    to: String,
    /// File with the admin token
    #[arg(long, value_name = "FILE")]
    token_file: PathBuf,
    /// PEM file with the certificates to trust in place of the system's
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments, io: &mut Io<'_>) -> Result<(), Failure> {
    let hint = "name the file with the token, which `init` wrote as STATE/admin.token";
    let token = disk::read(&arguments.token_file, 4096).map_err(|error| Failure::of(&error, hint))?;
    let token = String::from_utf8(token).map_err(|error| Failure::of(&error, hint))?;
    let server = Server::Address { url: arguments.to.clone(), token, ca: arguments.ca.clone() };
    let bundle = open(&arguments.bundle)?;
    // A wrong token is told before the bundle is sent: a sender in the middle of one sees a broken pipe at best.
    get(&server, "/api/v1/status")?;
    let answer = call(&server, Method::POST, "/api/v1/bundles", Some(bundle))?;
    print(io, arguments.json, &answer)
}
