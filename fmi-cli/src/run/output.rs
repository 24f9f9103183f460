//! What the processes print, on its way to whoever started them.

use serde::Serialize;
use std::{collections::VecDeque, io::IsTerminal, time::Duration};
use tokio::{
    io::{self, AsyncWriteExt},
    sync::mpsc::Receiver,
    time::{Instant, sleep_until},
};

/// How output is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// As it is: the processes have this program's own output.
    Raw,
    /// Line by line, each with its rank before it, in colours on a terminal.
    Prefixed,
    /// One JSON object a line.
    Json,
}

impl Format {
    /// Where nothing is said: people want to know who says what, programs what is said.
    pub(super) fn usual() -> Self {
        if std::io::stdout().is_terminal() { Self::Prefixed } else { Self::Raw }
    }
}

/// Which of a process' two outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

/// What there is to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum News {
    /// A line, without its end, of the process with these ranks.
    Line { ranks: String, stream: Stream, text: String },
    /// A process has failed, and is the cause of what others then say.
    Failed { ranks: String, message: String },
}

/// Lines that may wait to be shown: who prints faster waits.
pub(crate) const WAITING: usize = 1024;

/// How long errors are held back: the cause of all may come a moment after its consequences.
const HELD: Duration = Duration::from_millis(150);

/// Shows all, until nobody can say more.
pub(super) async fn show(mut news: Receiver<News>, format: Format, width: usize) {
    let mut page = Page::new(format, width);
    let mut held: VecDeque<(Instant, String, String)> = VecDeque::new();
    loop {
        let due = held.front().map(|(due, ..)| *due);
        tokio::select! {
            next = news.recv() => match next {
                Some(News::Line { ranks, stream: Stream::Stdout, text }) => {
                    page.add(Stream::Stdout, &ranks, &text);
                }
                Some(News::Line { ranks, text, .. }) => {
                    held.push_back((Instant::now() + HELD, ranks, text));
                }
                Some(News::Failed { ranks, message }) => {
                    let (first, then): (Vec<_>, Vec<_>) =
                        held.drain(..).partition(|(_, whose, _)| *whose == ranks);
                    for (_, whose, text) in &first {
                        page.add(Stream::Stderr, whose, text);
                    }
                    page.failed(&ranks, &message);
                    for (_, whose, text) in &then {
                        page.add(Stream::Stderr, whose, text);
                    }
                }
                None => break,
            },
            () = async { if let Some(due) = due { sleep_until(due).await } }, if due.is_some() => {
                if let Some((_, ranks, text)) = held.pop_front() {
                    page.add(Stream::Stderr, &ranks, &text);
                }
            }
        }
        if news.is_empty() || page.is_full() {
            page.flush().await;
        }
    }
    for (_, ranks, text) in held {
        page.add(Stream::Stderr, &ranks, &text);
    }
    page.flush().await;
}

/// What is about to be written.
struct Page {
    format: Format,
    width: usize,
    colours: [bool; 2],
    out: String,
    err: String,
}

impl Page {
    fn new(format: Format, width: usize) -> Self {
        let colours = [std::io::stdout().is_terminal(), std::io::stderr().is_terminal()];
        Self { format, width, colours, out: String::new(), err: String::new() }
    }

    fn add(&mut self, stream: Stream, ranks: &str, text: &str) {
        match self.format {
            Format::Raw => self.to(stream, &format!("{text}\n")),
            Format::Prefixed => {
                let coloured = self.colours[usize::from(stream == Stream::Stderr)];
                let line = prefixed(ranks, self.width, text, coloured);
                self.to(stream, &line);
            }
            Format::Json => {
                #[derive(Serialize)]
                struct Line<'a> {
                    ranks: &'a str,
                    stream: Stream,
                    line: &'a str,
                }
                self.json(&Line { ranks, stream, line: text });
            }
        }
    }

    fn failed(&mut self, ranks: &str, message: &str) {
        match self.format {
            Format::Json => {
                #[derive(Serialize)]
                struct Failed<'a> {
                    ranks: &'a str,
                    failed: &'a str,
                }
                self.json(&Failed { ranks, failed: message });
            }
            _ => self.to(Stream::Stderr, &format!("fmi run: {message}\n")),
        }
    }

    fn json(&mut self, line: &impl Serialize) {
        if let Ok(line) = serde_json::to_string(line) {
            self.to(Stream::Stdout, &format!("{line}\n"));
        }
    }

    fn to(&mut self, stream: Stream, line: &str) {
        match stream {
            Stream::Stdout => self.out.push_str(line),
            Stream::Stderr => self.err.push_str(line),
        }
    }

    fn is_full(&self) -> bool {
        self.out.len() + self.err.len() > 1 << 16
    }

    /// Writes it. Whoever closes our output does not want it: that is no failure of the job.
    async fn flush(&mut self) {
        if !self.err.is_empty() {
            let mut stderr = io::stderr();
            let _ = stderr.write_all(self.err.as_bytes()).await;
            let _ = stderr.flush().await;
            self.err.clear();
        }
        if !self.out.is_empty() {
            let mut stdout = io::stdout();
            let _ = stdout.write_all(self.out.as_bytes()).await;
            let _ = stdout.flush().await;
            self.out.clear();
        }
    }
}

/// `[ 3] text`, in a colour of its own for neighbours to differ.
fn prefixed(ranks: &str, width: usize, text: &str, coloured: bool) -> String {
    if !coloured {
        return format!("[{ranks:>width$}] {text}\n");
    }
    const COLOURS: [u8; 6] = [36, 33, 32, 35, 34, 31];
    let first: usize = ranks.split(['-', ',']).next().and_then(|n| n.parse().ok()).unwrap_or(0);
    let colour = COLOURS[first % COLOURS.len()];
    format!("\x1b[{colour}m[{ranks:>width$}]\x1b[0m {text}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_their_ranks_before_them() {
        assert_eq!(prefixed("3", 2, "x", false), "[ 3] x\n");
        assert_eq!(prefixed("0-15", 4, "x", true), "\x1b[36m[0-15]\x1b[0m x\n");
        assert_ne!(prefixed("1", 1, "", true), prefixed("2", 1, "", true));
    }

    #[test]
    fn json_is_json_whatever_is_printed() {
        let mut page = Page::new(Format::Json, 1);
        page.add(Stream::Stderr, "0-1", "a \"b\"\t\\");
        page.failed("2", "rank 2 ended with exit code 3");
        assert!(page.err.is_empty());
        assert_eq!(
            page.out,
            "{\"ranks\":\"0-1\",\"stream\":\"stderr\",\"line\":\"a \\\"b\\\"\\t\\\\\"}\n\
             {\"ranks\":\"2\",\"failed\":\"rank 2 ended with exit code 3\"}\n"
        );
    }
}
