//! The endpoints: plain axum.

use super::{
    group::{Refusal, Replica},
    peers::{Invitation, JOIN, READY, Ready},
    proof,
    work::{Answer, Question},
};
use axum::{
    Json, Router,
    body::Bytes,
    extract::{FromRequest, Request, State},
    http::{StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use fmi::Error;
use serde_json::{Value, json};
use std::sync::Arc;

/// For clients `POST /clusters` with `{"clusters": 3, "epochs": 20}`, and `GET /health`; for other
/// replicas what is below `/internal`.
pub fn router(replica: Arc<Replica>) -> Router {
    Router::new()
        .route("/clusters", post(clusters))
        .route("/health", get(health))
        .route(READY, post(ready))
        .route(JOIN, post(join))
        .with_state(replica)
}

async fn clusters(
    State(replica): State<Arc<Replica>>,
    Json(question): Json<Question>,
) -> Result<Json<Answer>, Response> {
    if let Err(wrong) = question.check() {
        return Err((StatusCode::BAD_REQUEST, Json(json!({ "error": wrong }))).into_response());
    }
    // Dropped when the client leaves, and all that belongs to the request with it.
    replica.lead(question).await.map(Json).map_err(IntoResponse::into_response)
}

async fn health(State(replica): State<Arc<Replica>>) -> Json<Value> {
    Json(json!({
        "id": replica.id(),
        "groups": replica.groups(),
        "at_work": replica.at_work(),
        "at_its_rendezvous": replica.processes(),
    }))
}

/// Whether there is room for one more group.
async fn ready(State(replica): State<Arc<Replica>>, _: Proved) -> Result<Json<Ready>, Refusal> {
    replica.room()?;
    Ok(Json(Ready { id: replica.id().to_owned() }))
}

/// Lasts as long as the part of this replica in the group; whoever invited it ends it by leaving.
async fn join(
    State(replica): State<Arc<Replica>>,
    Proved(body): Proved,
) -> Result<StatusCode, Response> {
    let invitation: Invitation = serde_json::from_slice(&body)
        .map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()).into_response())?;
    let part = replica.follow(invitation).await;
    part.map(|()| StatusCode::NO_CONTENT).map_err(IntoResponse::into_response)
}

/// The body of a request that comes from a replica.
struct Proved(Bytes);

impl FromRequest<Arc<Replica>> for Proved {
    type Rejection = StatusCode;

    async fn from_request(request: Request, replica: &Arc<Replica>) -> Result<Self, StatusCode> {
        let path = request.uri().path().to_owned();
        let proof = request.headers().get(proof::HEADER).cloned();
        let body = Bytes::from_request(request, replica).await;
        let body = body.map_err(|_| StatusCode::BAD_REQUEST)?;
        let proof = proof.as_ref().and_then(|proof| proof.to_str().ok()).unwrap_or_default();
        match proof::holds(proof, replica.token(), &path, &body) {
            true => Ok(Self(body)),
            false => Err(StatusCode::UNAUTHORIZED),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = match &self {
            Self::Full { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::TooFew { .. } | Self::NotFormed(_) | Self::Late => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            // A rank was lost, or gave up because its replica did.
            Self::Failed(
                Error::RankLost { .. } | Error::Abandoned { .. } | Error::Timeout { .. },
            ) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let retry = status != StatusCode::INTERNAL_SERVER_ERROR;
        let body = Json(json!({ "error": self.to_string(), "retry": retry }));
        if retry {
            (status, [(RETRY_AFTER, "1")], body).into_response()
        } else {
            (status, body).into_response()
        }
    }
}
