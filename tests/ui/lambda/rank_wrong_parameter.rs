#[fmi::rank]
async fn main(_ctx: String) {}
