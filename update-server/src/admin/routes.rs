//! The admin plane's answers. Errors are JSON with the two lines that a command would print.

use super::upload::receive;
use super::{Barred, Desk};
use crate::audit;
use crate::generation::Generation;
use crate::ingest::IngestError;
use crate::store::StoreError;
use crate::tokens::Right;
use axum::Json;
use axum::Router;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::{Deserialize, Serialize};

/// An error, as commands print it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Problem {
    /// What happened.
    pub(crate) error: String,
    /// What to do.
    pub(crate) hint: String,
}

/// An answer that says no.
struct Refusal(StatusCode, Problem);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.0, Json(self.1)).into_response();
        if self.0 == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// The served generation with its timestamp, for `GET /api/v1/generation`: what an export is made of.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Whole {
    /// The generation.
    pub(crate) generation: Generation,
    /// The timestamp file's text.
    pub(crate) timestamp: String,
}

#[derive(Debug, Deserialize)]
struct Page {
    #[serde(default)]
    after: u64,
    limit: Option<usize>,
}

/// The router of a door.
pub(crate) fn router(desk: Desk) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/api/v1/status", get(status))
        .route("/api/v1/generation", get(generation))
        .route("/api/v1/audit", get(entries))
        .route("/api/v1/bundles", post(bundle))
        .fallback(async || {
            problem(StatusCode::NOT_FOUND, "there is nothing here", "the admin plane answers under /api/v1/")
        })
        .with_state(desk)
}

async fn healthz() -> &'static str {
    "ok\n"
}

async fn readyz(State(desk): State<Desk>, headers: HeaderMap) -> Result<Response, Refusal> {
    probe(&desk, &headers)?;
    Ok(match desk.ready.check() {
        Ok(()) => (StatusCode::OK, "ready\n").into_response(),
        Err(reasons) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reasons}\n")).into_response(),
    })
}

async fn metrics(State(desk): State<Desk>, headers: HeaderMap) -> Result<Response, Refusal> {
    probe(&desk, &headers)?;
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    Ok(([(CONTENT_TYPE, kind)], desk.keeper.metrics.render()).into_response())
}

async fn status(State(desk): State<Desk>, headers: HeaderMap) -> Result<Response, Refusal> {
    allow(&desk, &headers, Right::Viewer)?;
    let status = blocking(move || desk.keeper.status(desk.started, desk.certificate(), desk.fleet())).await?;
    Ok(fresh(status))
}

async fn generation(State(desk): State<Desk>, headers: HeaderMap) -> Result<Response, Refusal> {
    allow(&desk, &headers, Right::Viewer)?;
    let served = blocking(move || Ok(desk.keeper.served())).await?;
    let Some(served) = served else {
        return Err(problem(
            StatusCode::NOT_FOUND,
            "no bundle has been ingested yet",
            "ingest a bundle first",
        ));
    };
    let timestamp = String::from_utf8_lossy(&served.timestamp).into_owned();
    Ok(fresh(Whole { generation: served.generation, timestamp }))
}

async fn entries(
    State(desk): State<Desk>,
    page: Result<Query<Page>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    allow(&desk, &headers, Right::Viewer)?;
    let Query(page) = page.map_err(|error| {
        problem(StatusCode::BAD_REQUEST, &error.body_text(), "write it like /api/v1/audit?after=0&limit=100")
    })?;
    let limit = page.limit.unwrap_or(100).min(1000);
    Ok(fresh(blocking(move || audit::entries(desk.keeper.store(), page.after, limit)).await?))
}

async fn bundle(State(desk): State<Desk>, headers: HeaderMap, body: Body) -> Result<Response, Refusal> {
    let actor = allow(&desk, &headers, Right::Publisher)?;
    receive(&desk, actor, body).await.map(fresh).map_err(|error| refused(&error))
}

fn refused(error: &IngestError) -> Refusal {
    let status = match error {
        IngestError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        IngestError::Disk(error) if error.is_full() => StatusCode::INSUFFICIENT_STORAGE,
        error if error.is_bundles_fault() => StatusCode::UNPROCESSABLE_ENTITY,
        IngestError::NoRoot(_) => StatusCode::CONFLICT,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    problem(status, &error.to_string(), error.hint())
}

fn allow(desk: &Desk, headers: &HeaderMap, right: Right) -> Result<String, Refusal> {
    let field = headers.get(AUTHORIZATION).and_then(|field| field.to_str().ok());
    desk.access.actor(field, right).map_err(|barred| match barred {
        Barred::Unknown => {
            let hint = "send the token from admin.token: push --token-file F";
            problem(StatusCode::UNAUTHORIZED, "no known token was given", hint)
        }
        Barred::Role => {
            problem(StatusCode::FORBIDDEN, "this token's role doesn't allow that", "use a publisher's token")
        }
    })
}

fn probe(desk: &Desk, headers: &HeaderMap) -> Result<(), Refusal> {
    if desk.access.probes_are_open() { Ok(()) } else { allow(desk, headers, Right::Viewer).map(drop) }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, Refusal> {
    let failed = |error: &dyn std::fmt::Display| {
        problem(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string(), "look at the server's log")
    };
    tokio::task::spawn_blocking(work).await.map_err(|error| failed(&error))?.map_err(|error| failed(&error))
}

fn fresh<T: Serialize>(value: T) -> Response {
    ([(CACHE_CONTROL, HeaderValue::from_static("no-store"))], Json(value)).into_response()
}

fn problem(status: StatusCode, error: &str, hint: &str) -> Refusal {
    Refusal(status, Problem { error: error.into(), hint: hint.into() })
}
