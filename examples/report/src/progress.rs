//! What is shown while a phase lasts.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{self, IsTerminal};

/// A bar over so many units (bytes, or what `unit` says), on a terminal and on rank 0; elsewhere
/// nothing is shown.
#[must_use]
pub fn progress(shown: bool, what: &'static str, total: u64, unit: Option<&str>) -> ProgressBar {
    if !(shown && io::stderr().is_terminal()) {
        return ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::hidden());
    }
    let amount = match unit {
        None => "{bytes} of {total_bytes}, {bytes_per_sec}, {eta} left".to_owned(),
        Some(unit) => format!("{{pos}} of at most {{len}} {unit}  {{msg}}"),
    };
    let style = ProgressStyle::with_template(&format!("{{prefix:>10}} {{bar:30}} {amount}"))
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(total).with_style(style).with_prefix(what)
}
