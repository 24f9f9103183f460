//! The elements of a picture, as SVG.

use super::{label::HEIGHT, layout::Point};
use std::fmt::Write;

/// An SVG document that grows.
#[derive(Debug)]
pub(super) struct Paper {
    text: String,
}

/// What an arrow stands for: its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ink {
    Send,
    Combine,
    Publish,
    Fetch,
    CombineShared,
    Copy,
}

impl Ink {
    /// In the legend.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::Combine => "send and combine",
            Self::Publish => "publish",
            Self::Fetch => "fetch",
            Self::CombineShared => "fetch and combine",
            Self::Copy => "copy",
        }
    }

    pub(super) fn combines(self) -> bool {
        matches!(self, Self::Combine | Self::CombineShared)
    }

    fn class(self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::Combine => "combine",
            Self::Publish => "publish",
            Self::Fetch => "fetch",
            Self::CombineShared => "mix",
            Self::Copy => "copy",
        }
    }
}

/// Plain colours, no variables: not all programs that show SVG know these. The background is a
/// part of the picture, so that it can be read wherever it stands.
const STYLE: &str = "\
text{font-family:system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif;fill:#1b2430}
.paper{fill:#fcfdff;stroke:#d5dce5}.stripe{fill:#f0f4f9}
.title{font-size:19px;font-weight:600}.subtitle{font-size:13.5px;fill:#516072}
.legend,.round{font-size:12px;fill:#516072}
.total{font-size:11.5px;fill:#516072;text-anchor:middle}
.life{stroke:#b9c4d0;stroke-width:1.5}
.rank circle{fill:#e4eaf2;stroke:#8494a7;stroke-width:1.2}.rank text{font-size:13px;font-weight:600;text-anchor:middle}
.small text{font-size:10.5px}
.root circle{fill:#1b2430;stroke:#1b2430}.root text{fill:#fff}
.line{fill:none;stroke-width:1.8}.dashed{stroke-dasharray:5 3.5}
.pill{fill:#fcfdff;stroke-width:.8}.label{font-size:11px;text-anchor:middle;stroke:none}
.send{stroke:#2159bf;fill:#2159bf}.combine{stroke:#c2410c;fill:#c2410c}.publish{stroke:#6d28d9;fill:#6d28d9}
.fetch{stroke:#0b766c;fill:#0b766c}.mix{stroke:#b01e57;fill:#b01e57}.copy{stroke:#5d6b7c;fill:#5d6b7c}
.line.send,.line.combine,.line.fetch,.line.mix{fill:none}
.pill.send,.pill.combine,.pill.publish,.pill.fetch,.pill.mix{fill:#fcfdff}
.label{stroke:none}.sign{stroke:#fff;stroke-width:1.8;fill:none}
@media (prefers-color-scheme:dark){
text{fill:#e6ebf2}.paper{fill:#11161f;stroke:#2c3746}.stripe{fill:#19212d}
.subtitle,.legend,.round,.total{fill:#a3b0c0}.life{stroke:#465468}
.rank circle{fill:#263142;stroke:#66778c}.root circle{fill:#e6ebf2;stroke:#e6ebf2}.root text{fill:#11161f}
.send{stroke:#7db2ff;fill:#7db2ff}.combine{stroke:#ff9f5f;fill:#ff9f5f}.publish{stroke:#c3a6ff;fill:#c3a6ff}
.fetch{stroke:#58dcc9;fill:#58dcc9}.mix{stroke:#ff8db6;fill:#ff8db6}.copy{stroke:#a3b0c0;fill:#a3b0c0}
.pill.send,.pill.combine,.pill.publish,.pill.fetch,.pill.mix{fill:#11161f}.sign{stroke:#11161f}
}
";

impl Paper {
    pub(super) fn new(width: f64, height: f64, title: &str) -> Self {
        let mut paper = Self { text: String::new() };
        let title = escaped(title);
        paper.line(&format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{title}\">"
        ));
        paper.line(&format!("<title>{title}</title>\n<style>\n{STYLE}</style>"));
        let (inner_width, inner_height) = (width - 1.0, height - 1.0);
        paper.line(&format!(
            "<rect class=\"paper\" x=\".5\" y=\".5\" width=\"{inner_width}\" \
             height=\"{inner_height}\" rx=\"10\"/>"
        ));
        paper
    }

    pub(super) fn text(&mut self, class: &str, x: f64, y: f64, text: &str) {
        let text = escaped(text);
        self.line(&format!("<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{text}</text>"));
    }

    pub(super) fn stripe(&mut self, x: f64, y: f64, width: f64, height: f64) {
        self.line(&format!(
            "<rect class=\"stripe\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" \
             height=\"{height:.1}\" rx=\"5\"/>"
        ));
    }

    pub(super) fn lifeline(&mut self, x: f64, top: f64, bottom: f64) {
        self.line(&format!("<path class=\"life\" d=\"M{x:.1} {top:.1}V{bottom:.1}\"/>"));
    }

    pub(super) fn rank(&mut self, at: Point, rank: usize, radius: f64, root: bool) {
        let Point { x, y } = at;
        let (small, root) =
            (if radius < 15.0 { " small" } else { "" }, if root { " root" } else { "" });
        let base = y + radius * 0.31;
        self.line(&format!(
            "<g class=\"rank{small}{root}\"><circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\"/>\
             <text x=\"{x:.1}\" y=\"{base:.1}\">{rank}</text></g>"
        ));
    }

    /// What follows is one thing; this is said of it when one points at it.
    pub(super) fn open(&mut self, told: &str) {
        let told = escaped(told);
        self.line(&format!("<g><title>{told}</title>"));
    }

    pub(super) fn close(&mut self) {
        self.line("</g>");
    }

    /// Ends `gap` before `to`.
    pub(super) fn arrow(&mut self, ink: Ink, from: Point, to: Point, gap: f64) {
        let (dx, dy) = (to.x - from.x, to.y - from.y);
        let length = dx.hypot(dy).max(1.0);
        let (ux, uy) = (dx / length, dy / length);
        let tip = Point { x: to.x - ux * gap, y: to.y - uy * gap };
        let base = Point { x: tip.x - ux * 9.0, y: tip.y - uy * 9.0 };
        let dashed = if matches!(ink, Ink::Fetch | Ink::CombineShared) { " dashed" } else { "" };
        let class = ink.class();
        self.line(&format!(
            "<path class=\"line {class}{dashed}\" d=\"M{:.1} {:.1}L{:.1} {:.1}\"/>",
            from.x, from.y, base.x, base.y
        ));
        self.line(&format!(
            "<path class=\"{class}\" stroke=\"none\" style=\"stroke:none\" \
             d=\"M{:.1} {:.1}L{:.1} {:.1} {:.1} {:.1}Z\"/>",
            tip.x,
            tip.y,
            base.x - uy * 4.2,
            base.y + ux * 4.2,
            base.x + uy * 4.2,
            base.y - ux * 4.2
        ));
    }

    /// Where a message leaves.
    pub(super) fn dot(&mut self, ink: Ink, Point { x, y }: Point) {
        let class = ink.class();
        self.line(&format!("<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.6\"/>"));
    }

    /// The operation: ⊕.
    pub(super) fn operator(&mut self, ink: Ink, Point { x, y }: Point) {
        let class = ink.class();
        let (left, top) = (x - 4.0, y - 4.0);
        self.line(&format!("<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"7\"/>"));
        self.line(&format!("<path class=\"sign\" d=\"M{left:.1} {y:.1}h8M{x:.1} {top:.1}v8\"/>"));
    }

    /// What is published.
    pub(super) fn square(&mut self, Point { x, y }: Point) {
        let (x, y) = (x - 5.5, y - 5.5);
        self.line(&format!(
            "<rect class=\"publish\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"11\" height=\"11\" rx=\"2\"/>"
        ));
    }

    /// What is copied.
    pub(super) fn diamond(&mut self, Point { x, y }: Point) {
        let top = y - 5.5;
        self.line(&format!(
            "<path class=\"copy\" d=\"M{x:.1} {top:.1}l5.5 5.5-5.5 5.5-5.5-5.5z\"/>"
        ));
    }

    pub(super) fn label(&mut self, at: Point, width: f64, ink: Ink, text: &str) {
        let (class, text) = (ink.class(), escaped(text));
        let (x, y, base) = (at.x - width / 2.0, at.y - HEIGHT / 2.0, at.y + 4.0);
        self.line(&format!(
            "<rect class=\"pill {class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" \
             height=\"{HEIGHT}\" rx=\"4\"/>"
        ));
        let x = at.x;
        self.line(&format!(
            "<text class=\"label {class}\" style=\"stroke:none\" x=\"{x:.1}\" y=\"{base:.1}\">{text}</text>"
        ));
    }

    pub(super) fn finish(mut self) -> String {
        self.line("</svg>");
        self.text
    }

    fn line(&mut self, line: &str) {
        // A String takes whatever is written.
        let _ = writeln!(self.text, "{line}");
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
