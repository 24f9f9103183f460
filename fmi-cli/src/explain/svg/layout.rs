//! Where things are, in pixels.

/// A place.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Point {
    pub(super) x: f64,
    pub(super) y: f64,
}

/// The measures of a picture.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) width: f64,
    pub(super) height: f64,
    /// Where ranks have their numbers, and how large these are.
    pub(super) head: f64,
    pub(super) radius: f64,
    /// Radius of the mark where two values are combined.
    pub(super) operator: f64,
    /// Whether there is room for words.
    pub(super) labelled: bool,
    column: f64,
    first: f64,
    /// The upper edges of the rounds, and the lower edge of the last.
    edges: Vec<f64>,
}

/// What has to find room.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) ranks: usize,
    /// How many columns an arrow of each round spans.
    pub(super) spans: Vec<usize>,
    /// Width of the legend.
    pub(super) legend: f64,
    /// Whether something is copied before the first round.
    pub(super) early: bool,
}

/// With more ranks there is no room for words.
pub(super) const LABELLED_MAX: usize = 16;
const MARGIN: f64 = 28.0;
/// For the names of rounds.
const NAMES: f64 = 84.0;
/// Of a round.
const HIGHEST: f64 = 160.0;

impl Layout {
    pub(super) fn new(content: &Content) -> Self {
        let (column, row) = match content.ranks {
            0..=4 => (140.0, 80.0),
            5..=8 => (100.0, 84.0),
            9..=16 => (78.0, 84.0),
            17..=32 => (48.0, 56.0),
            _ => (34.0, 46.0),
        };
        let labelled = content.ranks <= LABELLED_MAX;
        let columns = content.ranks as f64 * column;
        let width = (2.0 * MARGIN + NAMES + columns).max(2.0 * MARGIN + content.legend).max(560.0);
        let spare = width - 2.0 * MARGIN - NAMES - columns;
        let first = MARGIN + NAMES + spare / 2.0 + column / 2.0;
        let radius = if labelled { 15.0 } else { 11.0 };
        let head = 126.0;
        let top = head + radius + if content.early { 34.0 } else { 14.0 };
        let mut edges = vec![top];
        for span in &content.spans {
            // Arrows that go far need height, or they cannot be told from each other.
            let height = (*span as f64 * column / 4.0).clamp(row, HIGHEST);
            edges.push(edges[edges.len() - 1] + height);
        }
        let height = edges[edges.len() - 1] + if labelled { 46.0 } else { 28.0 };
        let operator = if labelled { 9.0 } else { 7.0 };
        Self { width, height, head, radius, operator, labelled, column, first, edges }
    }

    pub(super) fn left(&self) -> f64 {
        MARGIN
    }

    pub(super) fn right(&self) -> f64 {
        self.width - MARGIN
    }

    /// The middle of a rank's column.
    pub(super) fn x(&self, rank: usize) -> f64 {
        self.first + rank as f64 * self.column
    }

    /// The upper edge of a round, counted from 1; of the one after the last, its lower edge.
    pub(super) fn round(&self, round: usize) -> f64 {
        self.edges[round.saturating_sub(1).min(self.edges.len() - 1)]
    }

    /// The height of a round.
    pub(super) fn row(&self, round: usize) -> f64 {
        self.round(round + 1) - self.round(round)
    }

    /// Where a rank sends in a round.
    pub(super) fn sent(&self, rank: usize, round: usize) -> Point {
        Point { x: self.x(rank), y: self.round(round) + 15.0_f64.min(0.2 * self.row(round)) }
    }

    /// Where a rank receives in a round.
    pub(super) fn done(&self, rank: usize, round: usize) -> Point {
        Point { x: self.x(rank), y: self.round(round + 1) - 15.0_f64.min(0.2 * self.row(round)) }
    }

    /// Where a rank does something alone, after the messages of a round.
    pub(super) fn alone(&self, rank: usize, round: usize) -> Point {
        Point { x: self.x(rank), y: self.round(round + 1) - if round == 0 { 9.0 } else { 0.0 } }
    }
}
