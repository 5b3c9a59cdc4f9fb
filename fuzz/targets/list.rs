#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    diva_fuzz::list_of_pictures(bytes);
});
