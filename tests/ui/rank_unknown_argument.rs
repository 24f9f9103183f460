#[fmi::rank(threads = 4)]
async fn main(_ctx: fmi::Context) {}
