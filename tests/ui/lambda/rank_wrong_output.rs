#[fmi::rank]
async fn main(ctx: fmi::Context) -> usize {
    ctx.rank()
}
