//! The admin plane's answers about its own tokens.

use super::Desk;
use super::routes::{Part, Refusal, Refused, allow, body_of, fresh, problem, work};
use crate::tokens::{Created, Listed, Request, Right, TokensError};
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Desk> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(revoke))
}

/// The tokens that are accepted, without their texts.
#[utoipa::path(get, path = "/api/v1/tokens", tag = "tokens", security(("token" = ["publisher"])),
    responses((status = 200, body = Vec<Listed>), Refused))]
async fn list(State(desk): State<Desk>, headers: HeaderMap) -> Result<Response, Refusal> {
    allow(&desk, &headers, Right::Publisher)?;
    Ok(fresh(desk.book.list((desk.now)())))
}

/// Makes a token. Its text is in this answer, and nowhere else.
#[utoipa::path(post, path = "/api/v1/tokens", tag = "tokens", security(("token" = ["publisher"])),
    request_body = Request, responses((status = 200, body = Created), Refused))]
async fn create(State(desk): State<Desk>, headers: HeaderMap, body: Body) -> Result<Response, Refusal> {
    let actor = allow(&desk, &headers, Right::Publisher)?;
    let request: Request = body_of(body).await?;
    let now = (desk.now)();
    let made = work(move || desk.book.create(desk.keeper.store(), &request, &actor, now)).await?;
    made.map(fresh).map_err(|error| refused(&error))
}

/// Takes a token back: from this answer on it opens nothing.
#[utoipa::path(delete, path = "/api/v1/tokens/{name}", tag = "tokens", security(("token" = ["publisher"])),
    params(("name" = String, Path, description = "The token's name")),
    responses((status = 200, body = Listed), Refused))]
async fn revoke(
    State(desk): State<Desk>,
    Part(name): Part<String>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let actor = allow(&desk, &headers, Right::Publisher)?;
    let now = (desk.now)();
    let revoked = work(move || desk.book.revoke(desk.keeper.store(), &name, &actor, now)).await?;
    revoked.map(fresh).map_err(|error| refused(&error))
}

fn refused(error: &TokensError) -> Refusal {
    let status = match error {
        TokensError::Name(_) | TokensError::Days => StatusCode::UNPROCESSABLE_ENTITY,
        TokensError::Taken(_) | TokensError::TooMany => StatusCode::CONFLICT,
        TokensError::Unknown(_) => StatusCode::NOT_FOUND,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    problem(status, &error.to_string(), error.hint())
}
