/* bundle_text.h: the fixed texts of a bundle. The shell commands stand once, in VERIFY.md; verify.sh is made of its code blocks. */
#ifndef CONTROL_EXPORT_BUNDLE_TEXT_H
#define CONTROL_EXPORT_BUNDLE_TEXT_H

extern const char bundle_begin_md[];    /* what follows the header with the values of this bundle */
extern const char bundle_signed_md[];   /* then one of these two */
extern const char bundle_unsigned_md[];
extern const char bundle_verify_md[];
extern const char bundle_records_md[];       /* steps 4 and 5 */
extern const char bundle_payload_md[];       /* 6 to 8 */
extern const char bundle_key_functions_md[]; /* behind it */
extern const char bundle_anchors_md[];       /* and the steps that follow */
extern const char bundle_keys_md[];
extern const char bundle_approvals_md[];
extern const char bundle_since_md[];
extern const char bundle_complete_md[];
extern const char bundle_end_md[];
extern const char bundle_incl_sh[];
extern const char bundle_consis_sh[];

#endif
