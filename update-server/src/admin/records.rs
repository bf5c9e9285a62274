//! The admin plane's answers about the records as a whole: their export, their check, and the audit's chain.

use super::routes::{Refusal, Refused, allow, blocking, fresh, problem, within};
use super::{Access, Desk};
use crate::audit::{self, Filter, Found, Head};
use crate::records::archive;
use crate::records::check::{Checked, check};
use crate::store::StoreError;
use crate::tokens::Right;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hyper::body::Frame;
use serde::Deserialize;
use std::io::{self, BufWriter, Write};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::mpsc;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Pieces of an export on their way to the socket, and the size of one.
const PIECES: usize = 8;
/// See [`PIECES`].
const PIECE: usize = 256 << 10;
/// Entries of a page, at most.
pub(crate) const ENTRIES: usize = 1000;
/// Heads that are compared at once.
const HEADS: usize = 100;

pub(super) fn routes() -> OpenApiRouter<Desk> {
    OpenApiRouter::new()
        .routes(routes!(entries))
        .routes(routes!(verify))
        .routes(routes!(look))
        .routes(routes!(export))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Page {
    /// Entries after this number, the first of them.
    #[serde(default)]
    after: u64,
    /// At most so many, 100 unless given.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// The newest of them instead, in the order in which they were made.
    #[serde(default)]
    newest: bool,
    /// With `newest`: entries before this number only.
    before: Option<u64>,
    /// Made at that time or later.
    #[param(
        pattern = "^(19[7-9][0-9]|[2-9][0-9]{3})-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z$"
    )]
    since: Option<String>,
    /// Made by: `command`, `server`, `token:NAME`, or `token` for every token.
    #[param(max_length = 128)]
    actor: Option<String>,
    /// Of what was done: `device.revoked`, or `device` for all that was done to devices.
    #[param(max_length = 128)]
    action: Option<String>,
}

/// The longest actor or action that is looked for, in characters.
const FILTER_LENGTH: usize = 128;

/// The record of what was done, entry by entry. At most 10,000 entries are looked at for one answer: where it has a `next`,
/// ask on with that as `after`, or as `before` with `newest`, also where it has no entries.
#[utoipa::path(get, path = "/api/v1/audit", tag = "audit", params(Page), security(("token" = ["viewer"])),
    responses((status = 200, body = Found), Refused))]
async fn entries(
    State(desk): State<Desk>,
    page: Result<Query<Page>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    allow(&desk, &headers, Right::Viewer)?;
    let hint = "write it like /api/v1/audit?after=0&limit=100, or ?newest=true&action=device&since=2026-11-01T00:00:00Z";
    let bad = |what: &str| problem(StatusCode::BAD_REQUEST, what, hint);
    let Query(page) = page.map_err(|error| bad(&error.body_text()))?;
    let limit = within("limit", page.limit, 1..=ENTRIES, hint)?;
    if page.before.into_iter().chain([page.after]).any(|number| i64::try_from(number).is_err()) {
        return Err(bad("that is past every number that an entry can have"));
    }
    let is_long =
        |text: &Option<String>| text.as_ref().is_some_and(|text| text.chars().count() > FILTER_LENGTH);
    if is_long(&page.actor) || is_long(&page.action) {
        return Err(bad("actor or action is longer than 128 characters: no entry has such a one"));
    }
    let since = page.since.as_deref().map(str::parse).transpose();
    let since = since.map_err(|error: perennial_schemas::time::TimeError| bad(&error.to_string()))?;
    let filter = Filter { since, actor: page.actor, action: page.action };
    let found = blocking(move || match page.newest {
        true => audit::newest(desk.keeper.store(), &filter, page.before, limit),
        false => audit::first(desk.keeper.store(), &filter, page.after, limit),
    });
    Ok(fresh(found.await?))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Seen {
    /// Heads that somebody has seen, `SEQUENCE:DIGEST`, with commas between them.
    #[serde(default)]
    #[param(pattern = "^([0-9]{1,19}:[0-9a-f]{64}(,[0-9]{1,19}:[0-9a-f]{64}){0,99})?$")]
    heads: String,
}

/// Walks the audit's chain, and compares it with heads that were seen before. 409 where it doesn't hold.
#[utoipa::path(get, path = "/api/v1/audit/verify", tag = "audit", params(Seen), security(("token" = ["viewer"])),
    responses((status = 200, body = Head), Refused))]
async fn verify(
    State(desk): State<Desk>,
    seen: Result<Query<Seen>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    allow(&desk, &headers, Right::Viewer)?;
    let hint = "write it like /api/v1/audit/verify?heads=12:5f0c…,40:77ab…";
    let Query(seen) = seen.map_err(|error| problem(StatusCode::BAD_REQUEST, &error.body_text(), hint))?;
    let heads = seen.heads.split(',').filter(|text| !text.is_empty()).map(str::parse);
    let heads: Vec<Head> = heads
        .collect::<Result<_, _>>()
        .map_err(|error: String| problem(StatusCode::BAD_REQUEST, &error, hint))?;
    if heads.len() > HEADS {
        return Err(problem(StatusCode::BAD_REQUEST, &format!("at most {HEADS} heads at once"), hint));
    }
    let verified = super::routes::work(move || audit::verify_against(desk.keeper.store(), &heads)).await?;
    verified.map(fresh).map_err(|error| match error {
        StoreError::Corrupt(_) | StoreError::OtherPast(_) => {
            problem(StatusCode::CONFLICT, &error.to_string(), audit::BROKEN)
        }
        other => problem(StatusCode::INTERNAL_SERVER_ERROR, &other.to_string(), "look at the server's log"),
    })
}

/// Reads every record, and walks the audit's chain.
#[utoipa::path(get, path = "/api/v1/store/check", tag = "store", security(("token" = ["publisher"])),
    responses((status = 200, body = Checked), Refused))]
async fn look(State(desk): State<Desk>, headers: HeaderMap) -> Result<Response, Refusal> {
    allow(&desk, &headers, Right::Publisher)?;
    Ok(fresh(blocking(move || check(desk.keeper.store())).await?))
}

/// All records in one file, as of one moment. Only through the socket in the state folder, for the folder's owner.
#[utoipa::path(get, path = "/api/v1/store/export", tag = "store",
    responses((status = 200, content_type = "application/octet-stream", description = "perennial.records/1"), Refused))]
async fn export(State(desk): State<Desk>) -> Result<Response, Refusal> {
    if !matches!(desk.access, Access::Owner) {
        let hint = "run `perennial-server store export` on the server's machine";
        return Err(problem(
            StatusCode::FORBIDDEN,
            "the records leave this machine through its owner alone",
            hint,
        ));
    }
    let (sender, receiver) = mpsc::channel(PIECES);
    tokio::task::spawn_blocking(move || {
        let mut out = BufWriter::with_capacity(PIECE, Pieces(sender.clone()));
        if let Err(error) = archive::write(desk.keeper.store(), (desk.now)(), &mut out) {
            tracing::error!(%error, "an export ended early");
            // The connection breaks off, so that nobody takes what arrived for the whole.
            let _ = sender.blocking_send(Err(io::Error::other(error.to_string())));
        }
    });
    let kind = [(CONTENT_TYPE, "application/octet-stream"), (CACHE_CONTROL, "no-store")];
    Ok((kind, Body::new(Stream(receiver))).into_response())
}

/// Writes into a channel.
struct Pieces(mpsc::Sender<io::Result<Bytes>>);

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let gone = |_| io::Error::new(io::ErrorKind::BrokenPipe, "its reader went away");
        self.0.blocking_send(Ok(Bytes::copy_from_slice(bytes))).map_err(gone)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What comes out of the channel, as a body.
struct Stream(mpsc::Receiver<io::Result<Bytes>>);

impl hyper::body::Body for Stream {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.0.poll_recv(context).map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}
