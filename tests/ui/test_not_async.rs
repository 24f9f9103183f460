#[fmi::test(ranks = 2)]
fn meets(_: fmi::Context) {}

fn main() {}
