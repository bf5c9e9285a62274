//! The admin plane's answers. Errors are JSON with the two lines that a command would print.

use super::upload::receive;
use super::{Barred, Desk};
use crate::generation::Generation;
use crate::ingest::{IngestError, Outcome};
use crate::rollout::shown::{Statuses, statuses};
use crate::status::Status;
use crate::store::StoreError;
use crate::tokens::{Over, Right};
use axum::body::{Body, Bytes};
use axum::extract::{FromRequestParts, Path, State};
use axum::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use perennial_schemas::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;
use tokio::time::timeout;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Bytes of a JSON body; bundles have a limit of their own.
const BODY: usize = 64 << 10;
/// Time for all of it.
const BODY_TIME: Duration = Duration::from_secs(10);

/// An error, as commands print it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Problem {
    /// What happened.
    pub(crate) error: String,
    /// What to do.
    pub(crate) hint: String,
}

/// An answer that says no.
pub(super) struct Refusal {
    status: StatusCode,
    problem: Problem,
    /// Seconds.
    retry_after: Option<u64>,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.problem)).into_response();
        // Whoever isn't let in has no reason to stay.
        if matches!(self.status.as_u16(), 401 | 403 | 429) {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// The served generation with its timestamp, for `GET /api/v1/generation`: what an export is made of.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Whole {
    /// The generation.
    #[schema(value_type = Object)]
    pub(crate) generation: Generation,
    /// The timestamp file's text.
    pub(crate) timestamp: String,
    /// The statuses of rollouts, by their path beside `metadata/` and `targets/`.
    #[serde(default)]
    pub(crate) rollouts: BTreeMap<String, String>,
    /// Since when statuses of other rollouts on offer have expired, by that path.
    #[serde(default)]
    #[schema(value_type = BTreeMap<String, String>)]
    pub(crate) rollouts_expired: BTreeMap<String, Timestamp>,
}

/// What every route may answer in place of what it is asked for.
#[derive(utoipa::IntoResponses)]
#[expect(dead_code, reason = "it only describes")]
pub(super) enum Refused {
    /// What was sent can't be understood.
    #[response(status = 400)]
    Malformed(Problem),
    /// No token was given that is accepted; of one that was revoked or expired, the words say when.
    #[response(status = 401)]
    Unknown(Problem),
    /// The token's role doesn't allow it.
    #[response(status = 403)]
    Role(Problem),
    /// There is nothing of that name.
    #[response(status = 404)]
    Missing(Problem),
    /// What was sent came too slowly.
    #[response(status = 408)]
    Slow(Problem),
    /// It doesn't go with what is there.
    #[response(status = 409)]
    Conflict(Problem),
    /// What was sent is too long.
    #[response(status = 413)]
    Long(Problem),
    /// What was sent is refused, with the reason.
    #[response(status = 422)]
    Content(Problem),
    /// Asked too often; `Retry-After` has the seconds to wait.
    #[response(status = 429)]
    Often(Problem),
    /// The server failed.
    #[response(status = 500)]
    Failed(Problem),
}

#[derive(utoipa::OpenApi)]
#[openapi(
    info(title = "perennial-server: admin plane", description = "Errors are JSON with the two lines that a command would print. On loopback and at the socket in the state folder, probes and figures need no token; at the socket nothing does."),
    tags((name = "server"), (name = "audit"), (name = "store"), (name = "tokens"), (name = "devices"), (name = "rollouts")),
    modifiers(&Bearer),
)]
struct Document;

/// The one way to show who asks.
struct Bearer;

impl utoipa::Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(bearer));
    }
}

/// Everything that is answered, and its description.
fn described() -> (Router<Desk>, utoipa::openapi::OpenApi) {
    OpenApiRouter::with_openapi(<Document as utoipa::OpenApi>::openapi())
        .routes(routes!(healthz))
        .routes(routes!(readyz))
        .routes(routes!(metrics))
        .routes(routes!(status))
        .routes(routes!(generation))
        .routes(routes!(bundle))
        .routes(routes!(openapi))
        .merge(super::records::routes())
        .merge(super::tokens::routes())
        .merge(super::devices::routes())
        .merge(super::rollouts::routes())
        .split_for_parts()
}

/// The description, as it is served.
static DESCRIPTION: LazyLock<Bytes> =
    LazyLock::new(|| Bytes::from(serde_json::to_vec_pretty(&described().1).unwrap_or_default()));

/// The router of a door.
pub(crate) fn router(desk: Desk) -> Router {
    described()
        .0
        .fallback(async || {
            problem(StatusCode::NOT_FOUND, "there is nothing here", "the admin plane answers under /api/v1/")
        })
        .method_not_allowed_fallback(async || {
            problem(
                StatusCode::METHOD_NOT_ALLOWED,
                "that is asked for with another method",
                "the field Allow says with which; GET /api/v1/openapi.json describes each",
            )
        })
        .with_state(desk)
}

/// It runs.
#[utoipa::path(get, path = "/healthz", tag = "server", responses((status = 200, body = String)))]
async fn healthz() -> &'static str {
    "ok\n"
}

/// It can serve, and renew its timestamp; 503 with the reasons where it can't.
#[utoipa::path(get, path = "/readyz", tag = "server", security(("token" = ["viewer"])),
    responses((status = 200, body = String), (status = 503, body = String), Refused))]
async fn readyz(State(desk): State<Desk>, headers: HeaderMap) -> Result<Response, Refusal> {
    probe(&desk, &headers)?;
    Ok(match desk.ready.check() {
        Ok(()) => (StatusCode::OK, "ready\n").into_response(),
        Err(reasons) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reasons}\n")).into_response(),
    })
}

/// The figures, for Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "server", security(("token" = ["viewer"])),
    responses((status = 200, body = String, content_type = "text/plain"), Refused))]
async fn metrics(State(desk): State<Desk>, headers: HeaderMap) -> Result<Response, Refusal> {
    probe(&desk, &headers)?;
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    Ok(([(CONTENT_TYPE, kind)], desk.keeper.metrics.render()).into_response())
}

/// How the server is, and what must be done.
#[utoipa::path(get, path = "/api/v1/status", tag = "server", security(("token" = ["viewer"])),
    responses((status = 200, body = Status), Refused))]
async fn status(State(desk): State<Desk>, headers: HeaderMap) -> Result<Response, Refusal> {
    allow(&desk, &headers, Right::Viewer)?;
    let status = blocking(move || {
        let rollouts = crate::rollout::desk::list(&desk.engine, (desk.now)())?;
        desk.keeper.status(desk.started, desk.certificate(), desk.fleet(), rollouts)
    })
    .await?;
    Ok(fresh(status))
}

/// What is served, by name and digest, with its timestamp.
#[utoipa::path(get, path = "/api/v1/generation", tag = "server", security(("token" = ["viewer"])),
    responses((status = 200, body = Whole), Refused))]
async fn generation(State(desk): State<Desk>, headers: HeaderMap) -> Result<Response, Refusal> {
    allow(&desk, &headers, Right::Viewer)?;
    let now = (desk.now)();
    let read = move || Ok((desk.keeper.served(), statuses(desk.keeper.store(), now)?));
    let (served, rollouts) = blocking(read).await?;
    let Some(served) = served else {
        return Err(problem(
            StatusCode::NOT_FOUND,
            "no bundle has been ingested yet",
            "ingest a bundle first",
        ));
    };
    let timestamp = String::from_utf8_lossy(&served.timestamp).into_owned();
    let Statuses { current: rollouts, expired: rollouts_expired } = rollouts;
    Ok(fresh(Whole { generation: served.generation, timestamp, rollouts, rollouts_expired }))
}

/// Takes a bundle in, whole or not at all.
#[utoipa::path(post, path = "/api/v1/bundles", tag = "server", security(("token" = ["publisher"])),
    request_body(content_type = "application/octet-stream", description = "as `perennial-signer bundle` wrote it"),
    responses((status = 200, body = Outcome), (status = 413, body = Problem), (status = 507, body = Problem), Refused))]
async fn bundle(State(desk): State<Desk>, headers: HeaderMap, body: Body) -> Result<Response, Refusal> {
    let actor = allow(&desk, &headers, Right::Publisher)?;
    receive(&desk, actor, body).await.map(fresh).map_err(|error| refused(&error))
}

/// This description.
#[utoipa::path(get, path = "/api/v1/openapi.json", tag = "server", security(("token" = ["viewer"])),
    responses((status = 200, content_type = "application/json", description = "OpenAPI 3.1"), Refused))]
async fn openapi(State(desk): State<Desk>, headers: HeaderMap) -> Result<Response, Refusal> {
    probe(&desk, &headers)?;
    let kind = HeaderValue::from_static("application/json");
    Ok(([(CONTENT_TYPE, kind)], DESCRIPTION.clone()).into_response())
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

/// Who asks, if they have that right, and don't ask too often.
pub(super) fn allow(desk: &Desk, headers: &HeaderMap, right: Right) -> Result<String, Refusal> {
    let field = headers.get(AUTHORIZATION).and_then(|field| field.to_str().ok());
    let actor = desk.access.actor(field, right);
    let known = match &actor {
        Ok(actor) => Some(actor.as_str()),
        Err(_) => None,
    };
    desk.rates.take(known, tokio::time::Instant::now()).map_err(|seconds| {
        let mut refusal = problem(
            StatusCode::TOO_MANY_REQUESTS,
            "too many requests",
            &format!("wait {seconds} s; admin.rate says how many a second a token may make"),
        );
        refusal.retry_after = Some(seconds);
        refusal
    })?;
    let over = match actor {
        Ok(actor) => {
            desk.visit.is_known();
            return Ok(actor);
        }
        Err(Barred::Role) => return Err(role()),
        Err(Barred::Token(over)) => over,
    };
    let another = "ask for another one: perennial-server token create, on the server's machine";
    let (what, hint) = match over {
        Over::Unknown => {
            ("no known token was given".into(), "send the token from admin.token: push --token-file F")
        }
        Over::Revoked(at) => (format!("this token was revoked at {at}"), another),
        Over::Expired(at) => (format!("this token expired at {at}"), another),
    };
    Err(problem(StatusCode::UNAUTHORIZED, &what, hint))
}

fn role() -> Refusal {
    let hint = "use the token of somebody who may: `perennial-server token list` shows the roles";
    problem(StatusCode::FORBIDDEN, "this token's role doesn't allow that", hint)
}

fn probe(desk: &Desk, headers: &HeaderMap) -> Result<(), Refusal> {
    if desk.access.probes_are_open() { Ok(()) } else { allow(desk, headers, Right::Viewer).map(drop) }
}

/// A part of the path. One that can't be read is refused as everything else is.
pub(super) struct Part<T>(pub(super) T);

impl<T: serde::de::DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Part<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let hint = "write the path as GET /api/v1/openapi.json describes it";
        let part = Path::from_request_parts(parts, state).await;
        part.map(|Path(part)| Self(part))
            .map_err(|error| problem(StatusCode::BAD_REQUEST, &error.body_text(), hint))
    }
}

/// Runs what blocks on a thread of its own.
pub(super) async fn work<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Refusal> {
    tokio::task::spawn_blocking(work).await.map_err(|error| failed(&error))
}

/// The same for what reads the store.
pub(super) async fn blocking<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, Refusal> {
    work(read).await?.map_err(|error| failed(&error))
}

fn failed(error: &dyn std::fmt::Display) -> Refusal {
    problem(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string(), "look at the server's log")
}

/// What was sent as JSON. Received only now: whoever calls this has looked at the token first.
pub(super) async fn body_of<T: serde::de::DeserializeOwned>(body: Body) -> Result<T, Refusal> {
    body_within(body, BODY_TIME).await
}

async fn body_within<T: serde::de::DeserializeOwned>(body: Body, time: Duration) -> Result<T, Refusal> {
    let hint = "send JSON as GET /api/v1/openapi.json describes it";
    let received = match timeout(time, Limited::new(body, BODY).collect()).await {
        Ok(Ok(received)) => received.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let what = format!("the body is longer than its limit of {BODY} bytes");
            return Err(problem(StatusCode::PAYLOAD_TOO_LARGE, &what, hint));
        }
        Ok(Err(_)) => return Err(problem(StatusCode::BAD_REQUEST, "the body is cut short", hint)),
        Err(_) => {
            let what = format!("the body didn't come within {} s", time.as_secs());
            return Err(problem(StatusCode::REQUEST_TIMEOUT, &what, "send it again, at once"));
        }
    };
    serde_json::from_slice(&received)
        .map_err(|error| problem(StatusCode::BAD_REQUEST, &error.to_string(), hint))
}

/// How many are asked for, 100 unless said; more than a page holds is refused, and not quietly cut.
pub(super) fn within(
    name: &str,
    asked: Option<usize>,
    range: std::ops::RangeInclusive<usize>,
    hint: &str,
) -> Result<usize, Refusal> {
    let asked = asked.unwrap_or(100);
    if range.contains(&asked) {
        return Ok(asked);
    }
    let what = format!("{name} lies between {} and {}", range.start(), range.end());
    Err(problem(StatusCode::BAD_REQUEST, &what, hint))
}

pub(super) fn fresh<T: Serialize>(value: T) -> Response {
    ([(CACHE_CONTROL, HeaderValue::from_static("no-store"))], Json(value)).into_response()
}

pub(super) fn problem(status: StatusCode, error: &str, hint: &str) -> Refusal {
    Refusal { status, problem: Problem { error: error.into(), hint: hint.into() }, retry_after: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_does_not_come_or_is_too_long_is_given_up() {
        use std::task::Poll;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let status = |body| {
            let read = runtime.block_on(body_within::<serde_json::Value>(body, Duration::from_millis(1)));
            read.map_err(|refused| refused.status)
        };
        struct Never;
        impl hyper::body::Body for Never {
            type Data = Bytes;
            type Error = std::io::Error;
            fn poll_frame(
                self: std::pin::Pin<&mut Self>,
                _: &mut std::task::Context<'_>,
            ) -> Poll<Option<Result<hyper::body::Frame<Bytes>, std::io::Error>>> {
                Poll::Pending
            }
        }
        assert_eq!(status(Body::new(Never)), Err(StatusCode::REQUEST_TIMEOUT));
        assert_eq!(status(Body::from(vec![b' '; BODY + 1])), Err(StatusCode::PAYLOAD_TOO_LARGE));
        assert_eq!(status(Body::from("{")), Err(StatusCode::BAD_REQUEST));
        assert_eq!(status(Body::from("7")), Ok(7.into()));
    }

    /// Every route is registered together with its description, so none can lack one; this looks at what comes out.
    #[test]
    fn the_description_is_openapi_and_says_who_may_do_what() {
        let document: serde_json::Value = serde_json::from_slice(&DESCRIPTION).unwrap();
        assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
        for (path, methods) in document["paths"].as_object().unwrap() {
            for (method, about) in methods.as_object().unwrap() {
                let answers = about["responses"].as_object().unwrap();
                assert!(answers.contains_key("200"), "{method} {path}");
                assert!(about["summary"].is_string(), "{method} {path} says nothing of itself");
                let open = ["/healthz", "/api/v1/store/export"].contains(&path.as_str());
                assert_eq!(about["security"].is_array(), !open, "{method} {path}");
                assert_eq!(answers.contains_key("429"), path != "/healthz", "{method} {path}");
            }
        }
        for name in ["Status", "Problem", "Checked", "Entry", "FleetSummary", "RecordsSummary"] {
            assert!(document["components"]["schemas"][name].is_object(), "{name}");
        }
        // What isn't in a path comes after the question mark.
        for (path, methods) in document["paths"].as_object().unwrap() {
            for parameter in methods
                .as_object()
                .unwrap()
                .values()
                .flat_map(|about| about["parameters"].as_array().into_iter().flatten())
            {
                let named = path.contains(&format!("{{{}}}", parameter["name"].as_str().unwrap()));
                assert_eq!(parameter["in"] == "path", named, "{path}: {parameter}");
            }
        }
    }
}
