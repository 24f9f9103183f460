#[derive(serde::Serialize, fmi::Message)]
struct Tagged<T> {
    value: T,
}

fn main() {}
