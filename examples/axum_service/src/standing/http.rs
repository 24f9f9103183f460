//! The endpoint: plain axum.

use super::{
    group::Group,
    work::{Found, Nearest},
};
use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use fmi::{Error, Reason};
use serde_json::{Value, json};

/// `POST /nearest` with `{"x": 0.5, "y": 0.5}`, and `GET /health`.
pub fn router(group: Group) -> Router {
    Router::new().route("/nearest", post(nearest)).route("/health", get(health)).with_state(group)
}

async fn nearest(
    State(group): State<Group>,
    Json(question): Json<Nearest>,
) -> Result<Json<Found>, Failure> {
    Ok(Json(group.ask(question).await?))
}

async fn health(State(group): State<Group>) -> Result<Json<Value>, Failure> {
    Ok(Json(json!({ "ranks": group.ranks()? })))
}

/// An error of the group as an answer.
#[derive(Debug)]
struct Failure(Error);

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        // Whose group is broken, or about to be, or just left for the next one, may ask again.
        let retry = match &self.0 {
            Error::RankLost { .. } | Error::Closed { .. } => true,
            Error::Abandoned { reason, .. } => matches!(reason, Reason::Dropped | Reason::Left),
            _ => false,
        };
        let body = Json(json!({ "error": self.0.to_string(), "retry": retry }));
        if retry {
            (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "1")], body).into_response()
        } else {
            (StatusCode::INTERNAL_SERVER_ERROR, body).into_response()
        }
    }
}
