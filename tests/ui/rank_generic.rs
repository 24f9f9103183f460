#[fmi::rank]
async fn main<T>(_ctx: fmi::Context) -> Result<(), T>
where
    T: std::fmt::Display,
{
    Ok(())
}
