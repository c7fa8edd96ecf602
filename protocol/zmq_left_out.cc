// SPDX-License-Identifier: Apache-2.0
// Stands for libraries that a packaged libzmq was built with and coppice never uses: Kerberos (the
// GSSAPI mechanism), PGM and NORM (multicast transports).
//
// libzmq's archive refers to them from code that runs only for "pgm://" and "norm://" endpoints and
// with ZMQ_GSSAPI_*, which protocol/zmq_sockets.cc never asks for, and no peer can ask for. So each
// name is here, and ends the process if it is called. Weak: a program that links the real libraries
// keeps them. The names are C's, and the linker knows no types: the arguments don't matter.
#include "base/check.h"

#define COPPICE_LEFT_OUT_NAME extern "C" __attribute__((weak, visibility("hidden")))
#define COPPICE_LEFT_OUT(name)                                              \
  COPPICE_LEFT_OUT_NAME void name() {                                       \
    coppice::check_failed(__FILE__, __LINE__, #name, "left out of libzmq"); \
  }
#define COPPICE_LEFT_OUT_VALUE(name) \
  COPPICE_LEFT_OUT_NAME void* name;  \
  void* name = nullptr;

// Every context begins and ends PGM.
COPPICE_LEFT_OUT_NAME int pgm_init(void*) { return 1; }
COPPICE_LEFT_OUT_NAME int pgm_shutdown() { return 1; }

COPPICE_LEFT_OUT(NormCreateInstance)
COPPICE_LEFT_OUT(NormCreateSession)
COPPICE_LEFT_OUT(NormDestroyInstance)
COPPICE_LEFT_OUT(NormDestroySession)
COPPICE_LEFT_OUT(NormGetDescriptor)
COPPICE_LEFT_OUT(NormGetNextEvent)
COPPICE_LEFT_OUT(NormGetRandomSessionId)
COPPICE_LEFT_OUT(NormIsUnicastAddress)
COPPICE_LEFT_OUT(NormNodeDelete)
COPPICE_LEFT_OUT(NormObjectGetType)
COPPICE_LEFT_OUT(NormObjectGetUserData)
COPPICE_LEFT_OUT(NormObjectSetUserData)
COPPICE_LEFT_OUT(NormSetCongestionControl)
COPPICE_LEFT_OUT(NormSetDefaultSyncPolicy)
COPPICE_LEFT_OUT(NormSetDefaultUnicastNack)
COPPICE_LEFT_OUT(NormSetLoopback)
COPPICE_LEFT_OUT(NormSetMulticastInterface)
COPPICE_LEFT_OUT(NormSetRxPortReuse)
COPPICE_LEFT_OUT(NormSetTTL)
COPPICE_LEFT_OUT(NormStartReceiver)
COPPICE_LEFT_OUT(NormStartSender)
COPPICE_LEFT_OUT(NormStopInstance)
COPPICE_LEFT_OUT(NormStopReceiver)
COPPICE_LEFT_OUT(NormStopSender)
COPPICE_LEFT_OUT(NormStreamFlush)
COPPICE_LEFT_OUT(NormStreamOpen)
COPPICE_LEFT_OUT(NormStreamRead)
COPPICE_LEFT_OUT(NormStreamSeekMsgStart)
COPPICE_LEFT_OUT(NormStreamWrite)
COPPICE_LEFT_OUT(gss_accept_sec_context)
COPPICE_LEFT_OUT(gss_acquire_cred)
COPPICE_LEFT_OUT(gss_delete_sec_context)
COPPICE_LEFT_OUT(gss_display_name)
COPPICE_LEFT_OUT(gss_import_name)
COPPICE_LEFT_OUT(gss_init_sec_context)
COPPICE_LEFT_OUT(gss_release_buffer)
COPPICE_LEFT_OUT(gss_release_cred)
COPPICE_LEFT_OUT(gss_release_name)
COPPICE_LEFT_OUT(gss_unwrap)
COPPICE_LEFT_OUT(gss_wrap)
COPPICE_LEFT_OUT(pgm_bind3)
COPPICE_LEFT_OUT(pgm_close)
COPPICE_LEFT_OUT(pgm_connect)
COPPICE_LEFT_OUT(pgm_error_free)
COPPICE_LEFT_OUT(pgm_free)
COPPICE_LEFT_OUT(pgm_freeaddrinfo)
COPPICE_LEFT_OUT(pgm_getaddrinfo)
COPPICE_LEFT_OUT(pgm_getsockopt)
COPPICE_LEFT_OUT(pgm_gsi_create_from_data)
COPPICE_LEFT_OUT(pgm_recvmsgv)
COPPICE_LEFT_OUT(pgm_send)
COPPICE_LEFT_OUT(pgm_setsockopt)
COPPICE_LEFT_OUT(pgm_socket)

COPPICE_LEFT_OUT_VALUE(GSS_C_NT_HOSTBASED_SERVICE)
COPPICE_LEFT_OUT_VALUE(GSS_C_NT_USER_NAME)
COPPICE_LEFT_OUT_VALUE(NORM_INSTANCE_INVALID)
COPPICE_LEFT_OUT_VALUE(NORM_NODE_ANY)
COPPICE_LEFT_OUT_VALUE(NORM_OBJECT_INVALID)
COPPICE_LEFT_OUT_VALUE(NORM_SESSION_INVALID)
