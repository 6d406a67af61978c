//! Metadata and health.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};

use crate::http::error::ApiError;
use crate::http::router::App;
use crate::oip::{Live, ModelMetadata, ModelReady, Ready, ServerMetadata};
use crate::service::Hosted;

pub(crate) async fn server() -> Json<ServerMetadata> {
    Json(ServerMetadata {
        name: "credence".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        extensions: Vec::new(),
    })
}

pub(crate) async fn live() -> Json<Live> {
    Json(Live { live: true })
}

/// Models are loaded before the port is opened, so whoever is asked is ready.
pub(crate) async fn ready() -> Json<Ready> {
    Json(Ready { ready: true })
}

pub(crate) async fn metadata(
    State(app): State<App>,
    Path(model): Path<String>,
) -> Result<Json<ModelMetadata>, ApiError> {
    let hosted = find(&app, &model, None)?;
    Ok(Json(ModelMetadata::new(&model, hosted.model())))
}

pub(crate) async fn metadata_of_version(
    State(app): State<App>,
    Path((model, version)): Path<(String, String)>,
) -> Result<Json<ModelMetadata>, ApiError> {
    let hosted = find(&app, &model, Some(&version))?;
    Ok(Json(ModelMetadata::new(&model, hosted.model())))
}

pub(crate) async fn model_ready(
    State(app): State<App>,
    Path(model): Path<String>,
) -> Result<Json<ModelReady>, ApiError> {
    find(&app, &model, None)?;
    let ready = true;
    Ok(Json(ModelReady { name: model, ready }))
}

pub(crate) async fn version_ready(
    State(app): State<App>,
    Path((model, version)): Path<(String, String)>,
) -> Result<Json<ModelReady>, ApiError> {
    find(&app, &model, Some(&version))?;
    let ready = true;
    Ok(Json(ModelReady { name: model, ready }))
}

/// The model of that name, which has one version: its id.
pub(crate) fn find(app: &App, model: &str, version: Option<&str>) -> Result<Arc<Hosted>, ApiError> {
    let found = app.service.model(model);
    let hosted =
        found.ok_or_else(|| ApiError::not_found(format!("model `{model}` is not served here")))?;
    match version {
        Some(version) if version != hosted.id().to_string() => {
            let id = hosted.id();
            Err(ApiError::not_found(format!(
                "model `{model}` has the one version `{id}`, not `{version}`"
            )))
        }
        Some(_) | None => Ok(Arc::clone(hosted)),
    }
}
