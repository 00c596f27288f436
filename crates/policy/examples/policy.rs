fn main() {
    for name in vouchsafe_policy::Policy::PRESETS {
        match vouchsafe_policy::Policy::preset(name) {
            Ok(p) => println!("{name} {} {} {:?}", p.digest(), p.promises().len(), p.unclaimed()),
            Err(e) => println!("{e}"),
        }
    }
}
