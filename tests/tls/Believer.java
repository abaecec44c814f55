import java.io.FileInputStream;
import java.net.Socket;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.TrustManagerFactory;

/** Whether Java believes what listens on a port of 127.0.0.1: of each PORT NAME ANCHORS, a line `true` or `false WHY`.
 *  ANCHORS is a PEM file, or `-` for the trust store that the JVM was started with. */
class Believer {
    public static void main(String[] words) throws Exception {
        for (int at = 0; at < words.length; at += 3) {
            try {
                connect(Integer.parseInt(words[at]), words[at + 1], words[at + 2]);
                System.out.println("true");
            } catch (javax.net.ssl.SSLException refusal) {
                System.out.println("false " + refusal);
            }
        }
    }

    static void connect(int port, String name, String anchors) throws Exception {
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, anchors.equals("-") ? null : managers(anchors).getTrustManagers(), null);
        Socket plain = new Socket("127.0.0.1", port);
        try (SSLSocket socket = (SSLSocket) context.getSocketFactory().createSocket(plain, name, port, true)) {
            SSLParameters parameters = socket.getSSLParameters();
            parameters.setEndpointIdentificationAlgorithm("HTTPS");
            socket.setSSLParameters(parameters);
            socket.startHandshake();
        }
    }

    static TrustManagerFactory managers(String file) throws Exception {
        KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
        store.load(null, null);
        try (FileInputStream stream = new FileInputStream(file)) {
            int number = 0;
            for (Certificate one : CertificateFactory.getInstance("X.509").generateCertificates(stream)) {
                store.setCertificateEntry("anchor" + number++, one);
            }
        }
        TrustManagerFactory factory = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        factory.init(store);
        return factory;
    }
}
