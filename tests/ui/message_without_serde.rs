#[derive(fmi::Message)]
struct Shard {
    first_row: usize,
}

fn main() {}
