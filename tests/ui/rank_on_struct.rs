#[fmi::rank]
struct Program {
    ctx: fmi::Context,
}

fn main() {}
