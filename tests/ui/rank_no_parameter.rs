#[fmi::rank]
async fn main() -> fmi::Result<()> {
    Ok(())
}
