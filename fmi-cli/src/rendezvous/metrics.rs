//! What a rendezvous does, as Prometheus reads it: `GET /metrics` over HTTP.

use crate::failure::Failure;
use fmi_channels::rendezvous::{Figures, Monitor};
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{ALLOW, CONTENT_TYPE},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, text},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
    registry::Registry,
};
use std::{convert::Infallible, fmt, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};

/// Serves the figures of one rendezvous.
#[derive(Debug)]
pub(super) struct Metrics {
    listener: TcpListener,
    registry: Arc<Registry>,
}

impl Metrics {
    pub(super) async fn bind(address: &str, monitor: Monitor) -> Result<Self, Failure> {
        let listener = TcpListener::bind(address).await.map_err(|error| {
            Failure::new(format!(
                "cannot serve metrics on {address}: {error}; choose another --metrics"
            ))
        })?;
        let mut registry = Registry::with_prefix("fmi_rendezvous");
        registry.register_collector(Box::new(Source(monitor)));
        Ok(Self { listener, registry: Arc::new(registry) })
    }

    pub(super) fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves for ever.
    pub(super) async fn run(self) {
        let room = Arc::new(Semaphore::new(READERS));
        loop {
            let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let registry = Arc::clone(&self.registry);
                    tokio::spawn(async move {
                        let _permit = permit;
                        // Whatever goes wrong there, the reader asks again.
                        let _ = timeout(PATIENCE, serve(stream, registry)).await;
                    });
                }
                Err(_) => sleep(Duration::from_millis(50)).await,
            }
        }
    }
}

/// Connections at once.
const READERS: usize = 64;
/// How long one may last, and how long a request may take to come.
const PATIENCE: Duration = Duration::from_secs(300);
const HEAD: Duration = Duration::from_secs(10);

async fn serve(stream: TcpStream, registry: Arc<Registry>) -> hyper::Result<()> {
    let answer = service_fn(move |request| {
        let response = respond(&request, &registry);
        async move { Ok::<_, Infallible>(response) }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(16 << 10)
        .serve_connection(TokioIo::new(stream), answer)
        .await
}

fn respond(request: &Request<Incoming>, registry: &Registry) -> Response<Full<Bytes>> {
    let (status, kind, body) = match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/metrics") => match encoded(registry) {
            Ok(body) => (StatusCode::OK, OPEN_METRICS, body),
            Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, PLAIN, error.to_string()),
        },
        (&Method::GET | &Method::HEAD, _) => {
            (StatusCode::NOT_FOUND, PLAIN, "the figures are at /metrics\n".to_owned())
        }
        _ => (StatusCode::METHOD_NOT_ALLOWED, PLAIN, String::new()),
    };
    let response = Response::builder().status(status).header(CONTENT_TYPE, kind);
    let response = match status {
        StatusCode::METHOD_NOT_ALLOWED => response.header(ALLOW, "GET, HEAD"),
        _ => response,
    };
    response.body(Full::new(body.into())).unwrap_or_default()
}

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PLAIN: &str = "text/plain; charset=utf-8";

fn encoded(registry: &Registry) -> Result<String, fmt::Error> {
    let mut body = String::new();
    text::encode(&mut body, registry)?;
    Ok(body)
}

/// Asks the server anew whenever it is read.
#[derive(Debug)]
struct Source(Monitor);

impl Collector for Source {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        self.0.figures().map_or(Ok(()), |figures| each(&figures, encoder))
    }
}

/// All figures, by the names that Prometheus knows them by (counters end in `_total` there).
fn each(figures: &Figures, mut to: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
    for (name, help, value) in [
        ("jobs", "Jobs that are there", figures.jobs),
        ("processes", "Processes that are registered", figures.processes),
        ("relays", "Relayed links, those half made included", figures.relays),
        ("note_waiting_bytes", "Bytes of notes that wait for their reader", figures.note_bytes),
    ] {
        let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
        gauge.encode(to.encode_descriptor(name, help, None, gauge.metric_type())?)?;
    }
    for (name, help, value) in [
        ("connections", "Connections accepted", figures.connections),
        (
            "strangers",
            "Connections that ended before they had proved a token or registered",
            figures.strangers,
        ),
        ("crowded", "Connections turned away as too many from one address", figures.crowded),
        ("registrations", "Processes that have registered", figures.registered),
        ("refusals", "Registrations that were refused", figures.refused),
        ("deaths", "Processes that ended without leaving", figures.died),
        ("completed_jobs", "Jobs that became complete", figures.completed),
        ("notes", "Notes that processes have sent", figures.notes),
        ("lost_notes", "Notes that got lost", figures.notes_lost),
        ("relay_connections", "Connections that came to be relayed", figures.relayed),
        ("relayed_bytes", "Bytes that were relayed", figures.relayed_bytes),
        ("relay_held_bytes", "Relayed bytes that waited for their job's turn", figures.held_bytes),
        ("mirror_answers", "Answers that mirrors have given", figures.mirrored),
    ] {
        let counter = ConstCounter::new(value);
        counter.encode(to.encode_descriptor(name, help, None, counter.metric_type())?)?;
    }
    Ok(())
}
