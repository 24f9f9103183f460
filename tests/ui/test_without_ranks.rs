#[fmi::test]
async fn meets(_: fmi::Context) {}

fn main() {}
