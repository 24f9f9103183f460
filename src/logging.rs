//! `FMI_LOG` filters what the library says on stderr: `FMI_LOG=debug`, `FMI_LOG=fmi_channels=trace`.

use tracing_subscriber::EnvFilter;

/// Begins to log, unless the program has a subscriber of its own.
pub(crate) fn start() {
    let filter = EnvFilter::try_from_env("FMI_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .try_init();
}
