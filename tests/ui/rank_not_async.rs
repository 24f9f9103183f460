#[fmi::rank]
fn main(_ctx: fmi::Context) -> fmi::Result<()> {
    Ok(())
}
