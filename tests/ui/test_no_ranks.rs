#[fmi::test(ranks = 0)]
async fn meets(_: fmi::Context) {}

fn main() {}
