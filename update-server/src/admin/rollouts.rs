//! The admin plane's answers about rollouts: which there are, how one is, and to pause, halt or resume one. What is changed here
//! is in the status that devices see when the answer is given.

use super::Desk;
use super::routes::{Part, Refusal, Refused, allow, blocking, body_of, fresh, problem};
use crate::audit::why;
use crate::rollout::desk::{self, DeskError};
use crate::rollout::engine::Engine;
use crate::rollout::machine::Wish;
use crate::rollout::view::Rollout;
use crate::tokens::Right;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use perennial_schemas::{HardwareName, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Desk> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show))
        .routes(routes!(explain))
        .routes(routes!(pause))
        .routes(routes!(halt))
        .routes(routes!(resume))
}

/// All rollouts.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Rollouts {
    /// By product and version.
    pub(crate) rollouts: Vec<Rollout>,
}

/// A rollout in sentences.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(as = RolloutExplained)]
pub(crate) struct Explained {
    /// The product.
    pub(crate) product: String,
    /// The release.
    pub(crate) version: String,
    /// How it is, what it waits for or what stopped it, until when that holds, and what may be done.
    pub(crate) sentences: Vec<String>,
}

/// Why somebody pauses a rollout.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Pause {
    /// In words.
    #[schema(schema_with = why::schema)]
    why: String,
}

/// Why somebody halts a rollout.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Halt {
    /// In words.
    #[schema(schema_with = why::schema)]
    why: String,
    /// For one hardware revision only.
    #[serde(default)]
    #[schema(value_type = Option<String>, pattern = "^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$")]
    hardware: Option<HardwareName>,
}

/// Why somebody lets a rollout go on. Each other change takes the part of it that it knows.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ask {
    /// In words.
    #[schema(schema_with = why::schema)]
    pub(crate) why: String,
    /// For one hardware revision only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, pattern = "^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$")]
    pub(crate) hardware: Option<HardwareName>,
    /// What was counted so far counts no more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) set_aside_evidence: bool,
}

impl Rollout {
    /// In sentences.
    pub(crate) fn explained(&self) -> Explained {
        let (product, version) = (self.product.clone(), self.version.clone());
        Explained { product, version, sentences: self.sentences() }
    }
}

/// A change that takes effect at once where the server runs: the next turn is taken before it is answered.
fn changed(
    engine: &Engine,
    name: (&str, &str),
    wish: &Wish,
    who: (&str, &str),
    now: Timestamp,
) -> Result<Rollout, DeskError> {
    desk::change(engine, name, wish, who, now)?;
    if let Err(error) = engine.tick(now) {
        // It is recorded, and the next turn signs it.
        tracing::error!(%error, "a rollout's status can't be signed now");
    }
    desk::show(engine, name.0, name.1, now)
}

/// All rollouts, by product and version.
#[utoipa::path(get, path = "/api/v1/rollouts", tag = "rollouts", security(("token" = ["viewer"])),
    responses((status = 200, body = Rollouts), Refused))]
async fn list(State(desk): State<Desk>, headers: HeaderMap) -> Result<Response, Refusal> {
    allow(&desk, &headers, Right::Viewer)?;
    let now = (desk.now)();
    let rollouts = blocking(move || desk::list(&desk.engine, now)).await?;
    Ok(fresh(Rollouts { rollouts }))
}

type Named = Part<(String, String)>;

async fn shown(desk: Desk, (product, version): (String, String)) -> Result<Rollout, Refusal> {
    let now = (desk.now)();
    let shown = super::routes::work(move || desk::show(&desk.engine, &product, &version, now)).await?;
    shown.map_err(|error| refused(&error))
}

/// One rollout.
#[utoipa::path(get, path = "/api/v1/rollouts/{product}/{version}", tag = "rollouts", security(("token" = ["viewer"])),
    params(("product" = String, Path, description = "The product"), ("version" = String, Path, description = "The release")),
    responses((status = 200, body = Rollout), Refused))]
async fn show(State(desk): State<Desk>, Part(name): Named, headers: HeaderMap) -> Result<Response, Refusal> {
    allow(&desk, &headers, Right::Viewer)?;
    shown(desk, name).await.map(fresh)
}

/// One rollout in sentences: what it waits for, or what stopped it, until when, and what may be done.
#[utoipa::path(get, path = "/api/v1/rollouts/{product}/{version}/explain", tag = "rollouts", security(("token" = ["viewer"])),
    params(("product" = String, Path, description = "The product"), ("version" = String, Path, description = "The release")),
    responses((status = 200, body = Explained), Refused))]
async fn explain(
    State(desk): State<Desk>,
    Part(name): Named,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    allow(&desk, &headers, Right::Viewer)?;
    shown(desk, name).await.map(|rollout| fresh(rollout.explained()))
}

async fn change<A: serde::de::DeserializeOwned>(
    desk: Desk,
    (product, version): (String, String),
    headers: &HeaderMap,
    body: Body,
    wish: impl FnOnce(A) -> (String, Wish),
) -> Result<Response, Refusal> {
    let actor = allow(&desk, headers, Right::Operator)?;
    let ((why, wish), now) = (wish(body_of(body).await?), (desk.now)());
    let done =
        super::routes::work(move || changed(&desk.engine, (&product, &version), &wish, (&actor, &why), now));
    done.await?.map(fresh).map_err(|error| refused(&error))
}

/// Stops a rollout for now.
#[utoipa::path(post, path = "/api/v1/rollouts/{product}/{version}/pause", tag = "rollouts", security(("token" = ["operator"])),
    params(("product" = String, Path, description = "The product"), ("version" = String, Path, description = "The release")),
    request_body = Pause, responses((status = 200, body = Rollout), Refused))]
async fn pause(
    State(desk): State<Desk>,
    Part(name): Named,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    change(desk, name, &headers, body, |Pause { why }| (why, Wish::Pause)).await
}

/// Halts a rollout, for all or for one hardware revision.
#[utoipa::path(post, path = "/api/v1/rollouts/{product}/{version}/halt", tag = "rollouts", security(("token" = ["operator"])),
    params(("product" = String, Path, description = "The product"), ("version" = String, Path, description = "The release")),
    request_body = Halt, responses((status = 200, body = Rollout), Refused))]
async fn halt(
    State(desk): State<Desk>,
    Part(name): Named,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    change(desk, name, &headers, body, |Halt { why, hardware }| (why, Wish::Halt(hardware))).await
}

/// Lets a rollout go on, for all or for one hardware revision. Against the evidence only where that is set aside.
#[utoipa::path(post, path = "/api/v1/rollouts/{product}/{version}/resume", tag = "rollouts", security(("token" = ["operator"])),
    params(("product" = String, Path, description = "The product"), ("version" = String, Path, description = "The release")),
    request_body = Ask, responses((status = 200, body = Rollout), Refused))]
async fn resume(
    State(desk): State<Desk>,
    Part(name): Named,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    change(desk, name, &headers, body, |Ask { why, hardware, set_aside_evidence: set_aside }| {
        (why, Wish::Resume { hardware, set_aside })
    })
    .await
}

fn refused(error: &DeskError) -> Refusal {
    let status = match error {
        DeskError::Store(_) => StatusCode::INTERNAL_SERVER_ERROR,
        DeskError::Unknown(..) => StatusCode::NOT_FOUND,
        DeskError::Foreign(..) | DeskError::Refused(_) => StatusCode::CONFLICT,
        DeskError::Why => StatusCode::UNPROCESSABLE_ENTITY,
    };
    problem(status, &error.to_string(), error.hint())
}
