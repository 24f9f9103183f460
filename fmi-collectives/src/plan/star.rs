//! A star: every rank talks to rank 0 alone, which answers all when it has heard all.

use super::Step;

/// The steps of a rank. In its centre, rank 0, they `take` from each of the others in their order, then
/// `give` to each of them; elsewhere they are those of a `leaf`.
pub(super) fn plan(
    rank: usize,
    size: usize,
    take: impl Fn(usize) -> Step + Send + 'static,
    give: impl Fn(usize) -> Step + Send + 'static,
    leaf: [Step; 2],
) -> impl Iterator<Item = Step> + Send + 'static {
    let others = 1..if rank == 0 { size } else { 1 };
    let centre = others.clone().map(take).chain(others.map(give));
    centre.chain(leaf.into_iter().filter(move |_| rank != 0))
}
