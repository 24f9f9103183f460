#[fmi::test(ranks = 2, threads = 1)]
async fn meets(_: fmi::Context) {}

fn main() {}
