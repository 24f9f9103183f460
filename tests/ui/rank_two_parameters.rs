#[fmi::rank]
async fn main(_ctx: fmi::Context, _args: Vec<String>) -> fmi::Result<()> {
    Ok(())
}
