"""The protocol, as jupyter_kernel_test demands it: every sample is there, so no test is skipped."""

import jupyter_kernel_test
from conftest import KERNEL_NAME


class Protocol(jupyter_kernel_test.KernelTests):
    kernel_name = KERNEL_NAME
    language_name = "rust"
    file_extension = ".rs"
    code_hello_world = 'println!("hello, world");'
    code_stderr = 'eprintln!("oh");'
    completion_samples = [{"text": "%stat", "matches": {"%status"}}]
    complete_code_samples = ["1 + 1", "fn f() -> u32 {\n    1\n}", "MACHINE[0] = |x: f64| x * x;", "%status"]
    incomplete_code_samples = ["fn f() {", "let x =", '"open']
    invalid_code_samples = ["}", "let = 5;"]
    code_page_something = "%status?"
    code_generate_error = 'panic!("no");'
    code_execute_result = [{"code": "6 * 7", "result": "42"}, {"code": "// the answer\n6 * 7", "result": "42"}]
    code_display_data = [{"code": "%status\n%status", "mime": "text/html"}]
    code_history_pattern = "6 ? 7*"
    supported_history_operations = ("tail", "range", "search")
    code_inspect_sample = "%status"
    code_clear_output = 'print!("\\u{1b}[2J\\u{1b}[H");'


class Welcome(jupyter_kernel_test.IopubWelcomeTests):
    kernel_name = KERNEL_NAME
    support_iopub_welcome = True
